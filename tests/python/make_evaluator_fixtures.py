"""Metrics of the evaluators of sentence-transformers on vectors that are given: tests/fixtures/evaluators.json.

usage: make_evaluator_fixtures.py OUT

The vectors are float32; some are equal, so that similarities are; queries have others than documents. `model` gives them in place of an embedder. Of every case the file has the class, its arguments as this library takes them, the
metrics and the primary metric.
"""

import json
import sys
import types

import numpy as np
import torch
from sentence_transformers.sentence_transformer import evaluation as st
from sentence_transformers.util import cos_sim, dot_score, euclidean_sim, manhattan_sim, quantize_embeddings

COLUMNS = 16
rng = np.random.default_rng(5)
texts = [f"text {i}" for i in range(60)]
rows = {}
for kind in ("text", "query", "document"):
    for text in texts:
        rows[kind, text] = rng.normal(size=COLUMNS).round(3).astype(np.float32)
# Some documents are the same as others, and some pairs of texts as other pairs. Similarities that are equal in theory alone would be told
# apart by how they round.
for i in range(12):
    rows["document", texts[i]] = rows["document", texts[i + 20]]
    rows["text", texts[i]] = rows["text", texts[i + 30]]
SIMILARITIES = {"cosine": cos_sim, "dot": dot_score, "euclidean": euclidean_sim, "manhattan": manhattan_sim}


def model(similarity):
    def encode(kind):
        def function(sentences, precision=None, normalize_embeddings=False, truncate_dim=None, convert_to_tensor=False, **_):
            made = np.stack([rows[kind, text] for text in sentences])[:, :truncate_dim]
            if normalize_embeddings:
                made = made / np.linalg.norm(made, axis=1, keepdims=True)
            if precision:
                made = quantize_embeddings(made, precision=precision)
            return torch.from_numpy(made) if convert_to_tensor else made

        return function

    card = types.SimpleNamespace(set_evaluation_metrics=lambda *_: None)
    return types.SimpleNamespace(
        similarity_fn_name=similarity,
        similarity=SIMILARITIES[similarity],
        encode=encode("text"),
        encode_query=encode("query"),
        encode_document=encode("document"),
        model_card_data=card,
    )


cases = []


def case(cls, arguments, similarity="cosine", functions=None):
    given = dict(arguments)
    if "relevant_docs" in given:
        given["relevant_docs"] = {query: set(ids) for query, ids in given["relevant_docs"].items()}
    if functions:
        given["score_functions"] = {name: SIMILARITIES[name] for name in functions}
    evaluator = getattr(st, cls)(**given)
    metrics = evaluator(model(similarity))
    case = {"cls": cls, "arguments": arguments, "similarity": similarity, "functions": functions}
    cases.append({**case, "metrics": metrics, "primary": evaluator.primary_metric})


pick = lambda count, first=0: [texts[(first + 5 * i) % 60] for i in range(count)]
queries = {f"q{i}": text for i, text in enumerate(pick(12))}
corpus = {f"d{i}": text for i, text in enumerate(texts)}
relevant = {f"q{i}": [f"d{int(j)}" for j in rng.choice(60, 1 + i % 4, replace=False)] for i in range(11)}
retrieval = {"queries": queries, "corpus": corpus, "relevant_docs": relevant}
case("InformationRetrievalEvaluator", retrieval)
case("InformationRetrievalEvaluator", {**retrieval, "name": "help", "corpus_chunk_size": 10, "truncate_dim": 5}, "dot")
case("InformationRetrievalEvaluator", {**retrieval, "mrr_at_k": [1, 20], "ndcg_at_k": [3, 60], "map_at_k": [5], "accuracy_at_k": [2], "precision_recall_at_k": [4]}, "euclidean")
case("InformationRetrievalEvaluator", {**retrieval, "name": "two"}, functions=["cosine", "dot", "manhattan"])
case("InformationRetrievalEvaluator", {**retrieval, "main_score_function": "manhattan"}, functions=["cosine", "manhattan"])

ALL = list(SIMILARITIES)
pairs = {"sentences1": texts[:40], "sentences2": texts[1:41]}
scores = [round(float(score), 3) for score in rng.uniform(size=40)]
case("EmbeddingSimilarityEvaluator", {**pairs, "scores": scores})
case("EmbeddingSimilarityEvaluator", {**pairs, "scores": [round(score, 1) for score in scores], "name": "dev", "similarity_fn_names": ALL})
case("EmbeddingSimilarityEvaluator", {**pairs, "scores": scores, "main_similarity": "euclidean", "truncate_dim": 6})
case("EmbeddingSimilarityEvaluator", {**pairs, "scores": scores}, "manhattan")
for precision in ("int8", "uint8", "binary", "ubinary"):
    # Of bits many cosines are equal in theory.
    names = ALL if precision.endswith("int8") else ["dot", "euclidean", "manhattan"]
    case("EmbeddingSimilarityEvaluator", {**pairs, "scores": scores, "precision": precision, "similarity_fn_names": names})

labels = [int(label) for label in rng.integers(0, 2, 40)]
case("BinaryClassificationEvaluator", {**pairs, "labels": labels})
case("BinaryClassificationEvaluator", {**pairs, "labels": labels, "name": "dup", "similarity_fn_names": ALL, "truncate_dim": 4})
case("BinaryClassificationEvaluator", {**pairs, "labels": labels}, "euclidean")
case("BinaryClassificationEvaluator", {**pairs, "labels": [0] * 40, "similarity_fn_names": ["cosine", "manhattan"]})
case("BinaryClassificationEvaluator", {**pairs, "labels": [1] * 40, "similarity_fn_names": ["dot", "euclidean"]})

triplets = {"anchors": pick(40), "positives": pick(40, 1), "negatives": pick(40, 3)}
case("TripletEvaluator", triplets)
case("TripletEvaluator", {**triplets, "name": "nli", "similarity_fn_names": ALL, "margin": 0.1})
case("TripletEvaluator", {**triplets, "similarity_fn_names": ALL, "margin": {"dot": 1.5}, "truncate_dim": 3})
case("TripletEvaluator", {**triplets, "main_similarity_function": "dot"})

numbers = {kind: {text: rows[kind, text].tolist() for text in texts} for kind in ("text", "query", "document")}
plain = lambda value: value if isinstance(value, (str, type(None))) else float(value)
for each in cases:
    each["metrics"] = {key: plain(value) for key, value in each["metrics"].items()}
with open(sys.argv[1], "w") as file:
    json.dump({"rows": numbers, "cases": cases}, file, separators=(",", ":"))
    file.write("\n")
print(len(cases), "cases")
