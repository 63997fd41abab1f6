"""Embeddings: books that link to the same pages come to lie close to one another.

2,000 books in series of ten; most links of a book lead to pages of its series, so its true neighbours are known. Two
embeddings of 50 dimensions and the cosine between them learn which pairs of a book and a page are links. The pairs that
are none are drawn anew for every batch.

Run it by: stopcli fit books.py --batch-size 1024 --patience 5
"""

import csv

import keras
import numpy as np
import tensorflow as tf

PAGES = 3000


def data(*, books=2000, series=10, links=40):
    """Most links train. A tenth validates and a tenth tests, with as many pairs drawn at random, which are no links."""
    draw = np.random.default_rng(0)
    book = np.repeat(np.arange(books), links)
    # A series has 30 pages of its own, anywhere among all pages; a third of the links lead to other pages.
    own = draw.integers(PAGES, size=(-(-books // series), 30))
    page = own[book // series, draw.integers(30, size=len(book))]
    page = np.where(draw.random(len(book)) < 1 / 3, draw.integers(PAGES, size=len(book)), page)
    book, page = np.unique([book, page], axis=1)

    def pairs(rows, others=0):
        x = {
            "book": np.concatenate([book[rows], draw.choice(book, others)]),
            "page": np.concatenate([page[rows], draw.integers(PAGES, size=others)]),
        }
        return x, np.repeat([[1], [0]], [len(rows), others], axis=0).astype("float32")

    validation, test, train = np.split(draw.permutation(len(book)), [len(book) // 10, len(book) // 5])
    return {
        "train": pairs(train),
        "validation": pairs(validation, len(validation)),
        "test": pairs(test, len(test)),
    }


def augment(x, y, seed):
    """Half of the batch keeps its links; the other half gets random pages, and the target 0."""
    rows = tf.shape(y)[0]
    random_page = tf.random.stateless_uniform([rows], seed, 0, PAGES, x["page"].dtype)
    is_link = tf.random.stateless_uniform([rows], seed + 1) < 0.5
    page = tf.where(is_link, x["page"], random_page)
    return {"book": x["book"], "page": page}, tf.cast(is_link[:, None], y.dtype)


def build(x, y, *, books=2000, dimensions=50):
    book, page = (keras.Input((), dtype="int32", name=name) for name in ("book", "page"))
    vectors = [
        keras.layers.Embedding(books, dimensions, name="books")(book),
        keras.layers.Embedding(PAGES, dimensions, name="pages")(page),
    ]
    cosine = keras.layers.Dot(axes=1, normalize=True)(vectors)
    link = keras.layers.Dense(1, "sigmoid")(cosine)
    model = keras.Model({"book": book, "page": page}, link)
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return model


def after(model, splits, folder, *, series=10):
    """Write the nearest neighbours of each book, how many of them are of its series, and a picture of five series."""
    (vectors,) = model.get_layer("books").get_weights()
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    nearest = np.argsort(-cosine, axis=1)[:, : series - 1]
    known = nearest // series == np.arange(len(vectors))[:, None] // series
    with (folder / "neighbours.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["book", "rank", "neighbour", "cosine", "same_series"])
        for book, others in enumerate(nearest):
            for rank, other in enumerate(others):
                rows.writerow([book, rank + 1, other, f"{cosine[book, other]:.3f}", int(known[book, rank])])
    text = f"{known.sum()} of {known.size} nearest neighbours are of the book's series ({known.mean():.1%})"
    print(text)
    draw_series(vectors, series, text, folder / "books.png")


def draw_series(vectors, series, title, path):
    """The first five series in the two directions in which their vectors differ most."""
    from matplotlib.figure import Figure

    shown = vectors[: 5 * series] - vectors[: 5 * series].mean(axis=0)
    points = shown @ np.linalg.svd(shown, full_matrices=False)[2][:2].T
    figure = Figure(figsize=(6, 5))
    axes = figure.subplots()
    for i in range(5):
        axes.scatter(*points[i * series : (i + 1) * series].T, label=f"series {i + 1}")
    axes.set_title(title, fontsize=10)
    axes.legend()
    figure.savefig(path, dpi=120)
