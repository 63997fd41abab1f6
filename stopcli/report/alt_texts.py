"""What each figure shows, for readers who do not see it. A test checks that every figure is named here."""

from __future__ import annotations

# By the figure's file name in `plots/`. Numbers belong in tables; here is what is drawn.
ALT_TEXTS = {
    "accuracies": "A point for each seed: the accuracy of its final and of its saved model on the training and test "
    "rows, with the means.",
    "augmented": "Training images in the first row, and below them the same images as augmentation passes them to the "
    "network.",
    "case_study": "Loss against the epoch on the training and the validation rows, a panel for each published arm up "
    "to its last epoch, with the epoch at which it stopped and the epoch that was saved.",
    "confusion": "A matrix of how many test images of each true class were predicted as each class.",
    "cost": "Error at the end against training time, a point for each arm, with the Pareto front: the arms that no "
    "other arm beats in both.",
    "curves": "Loss and accuracy (or error) against the epoch, on the training and the validation rows, with the epoch "
    "at which training stopped and the best epochs.",
    "frontier": "For each stopping rule, the epochs that it trains against how much worse its selected epoch is than "
    "the best of all, with the Pareto front: the rules that no other rule beats in both.",
    "learning_rate": "The learning rate against the number of the update.",
    "moons": "The points of both moons over the model's probability of class 1, with its boundary at one half.",
    "range": "Training loss against a rising learning rate, with the suggested rates and the suggested bounds shaded.",
    "stop_epochs": "A point for each seed: the epoch at which it stopped and its best epochs, with the means.",
    "values": "A point for each run and a row for each arm: the value that is compared, its mean and 95 % interval.",
    "validation_error": "Validation error against the epoch, a line for each arm.",
    "worst": "The test images that the model misclassified most confidently, with the true and the predicted class.",
}


def alt_text(name: str) -> str:
    """What the figure of a name shows; of a figure that is not ours, its name."""
    return ALT_TEXTS.get(name, f"Figure: {name.replace('_', ' ')}.")
