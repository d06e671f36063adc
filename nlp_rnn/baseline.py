"""TF-IDF and logistic regression: what a classifier of texts has to beat, so nobody fools himself.

N texts, C classes, F terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from nlp_rnn.errors import InputError

__all__ = ["Baseline"]

_TERMS = 50_000
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff"
"""Characters of scripts without spaces (Thai, Lao, Burmese, Khmer, Kana, Han): each is a word."""

_LETTER = rf"[^\W{_UNSPACED}]"
_WORD = rf"[{_UNSPACED}]|{_LETTER}+(?:['’]{_LETTER}+)*"  # "don't" is a word, as is "n't"
_STRENGTHS = (1, 4, 16)  # C of scikit-learn; the larger, the weaker the penalty
_CERTAIN = 10.0  # score of what never varies in training


class Baseline:
    """Logistic regression on TF-IDF of single words and pairs of neighbours, in lower case.

    Args:
        terms: F words and pairs of words.
        idf: inverse document frequencies (F,).
        weights: (C, F).
        bias: (C,).
        multi_label: each class is a yes or no of its own; else exactly one fits.
    """

    def __init__(
        self, terms: list[str], idf: Tensor, weights: Tensor, bias: Tensor, *, multi_label: bool
    ) -> None:
        self.terms, self.idf, self.weights, self.bias = terms, idf, weights, bias
        self.multi_label = multi_label
        self._vectorizer = _tfidf(terms=terms)
        self._vectorizer.idf_ = idf.numpy()

    @classmethod
    def fit(
        cls,
        texts: Sequence[str],
        labels: Tensor | Sequence[int],
        validation_texts: Sequence[str],
        validation_labels: Tensor | Sequence[int],
        num_classes: int,
        multi_label: bool = False,
    ) -> Baseline:
        """Trains with three strengths of the penalty and keeps the best on validation texts.

        A term must occur in two training texts; if none does, one is enough. A class or label that
        no training text has is never predicted; a label that all of them have always is.

        Args:
            texts: N training texts; empty ones are fine.
            labels: numbers of their classes (N,), or which labels fit (N, C) as 0 and 1.
            validation_texts: others, to choose by accuracy.
            validation_labels: theirs.
            num_classes: C.
            multi_label: whether labels are (N, C).

        Raises:
            InputError: no training text has a word.
        """
        targets, validation_targets = torch.as_tensor(labels), torch.as_tensor(validation_labels)
        vectorizer = _fitted(texts)
        terms, idf = vectorizer.get_feature_names_out().tolist(), torch.tensor(vectorizer.idf_)
        features = vectorizer.transform(texts)
        validation_features = vectorizer.transform(validation_texts)
        found: list[Baseline] = []
        accuracies: list[float] = []
        for strength in _STRENGTHS:
            regress = _regress_each if multi_label else _regress
            weights, bias = regress(features, targets.long(), num_classes, strength)
            found.append(cls(terms, idf, weights, bias, multi_label=multi_label))
            right = found[-1]._decide(found[-1]._score(validation_features)) == validation_targets
            accuracies.append(float((right.all(1) if multi_label else right).float().mean()))
        return found[accuracies.index(max(accuracies))]

    def scores(self, texts: Sequence[str]) -> Tensor:
        """Logits (N, C): of a softmax, or with several labels of a sigmoid each."""
        return self._score(self._vectorizer.transform(texts))

    def predict(self, texts: Sequence[str]) -> Tensor:
        """Numbers of the likeliest classes (N,), or which labels fit (N, C) as 0 and 1."""
        return self._decide(self.scores(texts))

    def state_dict(self) -> dict[str, Any]:
        """Plain values and tensors, which `torch.load(weights_only=True)` reads."""
        return {
            "terms": self.terms,
            "idf": self.idf,
            "weights": self.weights,
            "bias": self.bias,
            "multi_label": self.multi_label,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Baseline:
        """The baseline that gave `state_dict`; its scores are the same."""
        return cls(
            state["terms"],
            state["idf"],
            state["weights"],
            state["bias"],
            multi_label=state["multi_label"],
        )

    def _score(self, features: Any) -> Tensor:
        """Logits (N, C) of a sparse matrix (N, F)."""
        return torch.from_numpy(features @ self.weights.T.numpy()).float() + self.bias

    def _decide(self, scores: Tensor) -> Tensor:
        return (scores > 0).long() if self.multi_label else scores.argmax(1)


def _tfidf(*, terms: list[str] | None = None, min_texts: int = 1) -> Any:
    # Imported late: who does not classify need not wait for it.
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(
        vocabulary=terms,
        min_df=min_texts,
        max_features=_TERMS,
        token_pattern=_WORD,
        ngram_range=(1, 2),
        sublinear_tf=True,
    )


def _fitted(texts: Sequence[str]) -> Any:
    for min_texts in (2, 1):
        with suppress(ValueError):  # scikit-learn's way to say that no terms are left
            return _tfidf(min_texts=min_texts).fit(texts)
    raise InputError("the training texts of the baseline have no words; give texts with words")


def _regress(
    features: Any, targets: Tensor, num_classes: int, strength: float
) -> tuple[Tensor, Tensor]:
    """Weights (C, F) and bias (C,) for classes (N,)."""
    from sklearn.linear_model import LogisticRegression

    weights = torch.zeros(num_classes, features.shape[1])
    bias = torch.full((num_classes,), -_CERTAIN)
    present = targets.unique()
    if len(present) == 1:
        bias[present] = _CERTAIN
        return weights, bias
    fitted = LogisticRegression(C=strength, max_iter=1000).fit(features, targets.numpy())
    # Of two classes scikit-learn has the weights of the second only.
    own = present[-len(fitted.coef_) :]
    bias[present] = 0
    weights[own] = torch.from_numpy(fitted.coef_).float()
    bias[own] = torch.from_numpy(fitted.intercept_).float()
    return weights, bias


def _regress_each(
    features: Any, targets: Tensor, num_classes: int, strength: float
) -> tuple[Tensor, Tensor]:
    """Weights (C, F) and bias (C,) for labels on their own (N, C): of yes beside those of no."""
    weights = torch.zeros(num_classes, features.shape[1])
    bias = torch.zeros(num_classes)
    for label in range(num_classes):
        both_weights, both_bias = _regress(features, targets[:, label], 2, strength)
        weights[label] = both_weights[1] - both_weights[0]
        bias[label] = both_bias[1] - both_bias[0]
    return weights, bias
