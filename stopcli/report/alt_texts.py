"""What each figure shows, for those who do not see it. A test holds that every figure that is drawn is named here."""

from __future__ import annotations

# By the figure's name, under which `plots/` holds it. Numbers belong into tables; here is what is drawn, and where the
# numbers that it is read for can be found.
ALT_TEXTS = {
    "accuracies": "A point for each seed: its accuracy on training and test rows, of the final and of the saved model, "
    "with their means.",
    "augmented": "Training images in the first row, and below the same images as augmentation gives them to the "
    "network.",
    "case_study": "Loss against the epoch on the training rows and on the rows that validate, a panel for each "
    "published arm up to its last epoch, with where it stopped and which epoch was saved.",
    "confusion": "A matrix of how many test images of each true class were taken for each class.",
    "cost": "Error at the end against training time, a point for each arm, with the Pareto front: the arms that no "
    "other beats in both.",
    "curves": "Loss and accuracy (or error) against the epoch, on the training rows and on the rows that validate, "
    "with where training stopped and which epochs were the best.",
    "frontier": "For each stopping rule, the epochs that are trained under it against what the epoch that it keeps "
    "loses against the best of all, with the Pareto front: the rules that no other beats in both.",
    "learning_rate": "The learning rate against the number of the update.",
    "moons": "The points of both moons over the probability that the model gives for class 1, with its boundary at one "
    "half.",
    "range": "Training loss against a rising learning rate, with the suggested rates and the suggested bounds shaded.",
    "stop_epochs": "A point for each seed: the epoch at which it stopped and its best epochs, with their means.",
    "values": "A point for each run and a row for each arm: the value that is compared, its mean and 95 % interval.",
    "validation_error": "Validation error against the epoch, a line for each arm.",
    "worst": "The test images that the model is most sure of, and wrong, each with its true and its predicted class.",
}


def alt_text(name: str) -> str:
    """What the figure of a name shows; for a figure of another's making, its name in words."""
    return ALT_TEXTS.get(name, f"Figure: {name.replace('_', ' ')}.")
