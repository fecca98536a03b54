"""Loads models that this library has saved, as Python does, and compares what they give.

    python reload.py FOLDER...

Every folder has the files of a model and a case.json:
- {"cls": "BertForMaskedLM", "dtype": "float32", "inputs": {...}, "outputs": {"logits": {"shape": [...], "data": [...]}}},
  for a class of transformers;
- {"encode": [texts], "outputs": {"embeddings": ...}}, for SentenceTransformer;
- {"rank": [[query, document], ...], "outputs": {"scores": ...}}, for CrossEncoder;
- {"sparse": [texts], "outputs": {"queries": ..., "documents": ...}}, dense rows, for SparseEncoder;
- {"tokens": [texts], "outputs": {"queries 0": ..., "documents 0": ..., ...}}, a matrix a text, for MultiVectorEncoder.

Prints one line of JSON for each: {"folder", "missing", "unexpected", "dtype", "worst"}. `worst` is the largest |a - b| / (1 + |b|) of all
outputs in float32 that both have.
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers

transformers.logging.set_verbosity_error()


# What a class of transformers calls an output that this library gives by another class's name.
OTHER_NAMES = {"seq_relationship_logits": "sop_logits"}


def difference(actual, wanted):
    actual = actual.detach().float().reshape(-1)
    expected = torch.tensor(wanted["data"], dtype=torch.float32)
    if actual.shape != expected.shape:
        return float("inf")
    return ((actual - expected).abs() / (1 + expected.abs())).max().item()


def reload_transformers(folder, case):
    cls = getattr(transformers, case["cls"])
    # In float32 from the start: what a class computes of its config alone is rounded with the weights otherwise.
    model, info = cls.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    dtype = str(model.config.__class__.from_pretrained(folder).dtype).removeprefix("torch.")
    model.eval()
    inputs = {name: torch.tensor(value) for name, value in case["inputs"].items()}
    with torch.no_grad():
        outputs = model(**inputs)
    return {
        "missing": sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"]),
        "unexpected": sorted(info["unexpected_keys"]),
        "dtype": dtype,
        "worst": max(
            difference(outputs[own], wanted)
            for name, wanted in case["outputs"].items()
            for own in (name, OTHER_NAMES.get(name))
            if own in outputs
        ),
    }


def reload_sentence(folder, case):
    from sentence_transformers import CrossEncoder, SentenceTransformer

    if "encode" in case:
        actual = SentenceTransformer(folder, device="cpu").encode(case["encode"], convert_to_tensor=True)
        wanted = case["outputs"]["embeddings"]
    else:
        actual = CrossEncoder(folder, device="cpu").predict(case["rank"], convert_to_tensor=True)
        wanted = case["outputs"]["scores"]
    return {"missing": [], "unexpected": [], "dtype": str(actual.dtype).removeprefix("torch."), "worst": difference(actual, wanted)}


def reload_vectors(folder, case):
    from sentence_transformers import MultiVectorEncoder, SparseEncoder

    isSparse = "sparse" in case
    model = (SparseEncoder if isSparse else MultiVectorEncoder)(folder, device="cpu")
    texts = case["sparse" if isSparse else "tokens"]
    more = {"convert_to_sparse_tensor": False} if isSparse else {}
    actual = {}
    for name, encode in (("queries", model.encode_query), ("documents", model.encode_document)):
        rows = encode(texts, **more)
        if isSparse:
            actual[name] = rows
        else:
            actual.update({f"{name} {i}": torch.as_tensor(row) for i, row in enumerate(rows)})
    assert actual.keys() == case["outputs"].keys()
    worst = max(difference(actual[name], wanted) for name, wanted in case["outputs"].items())
    return {"missing": [], "unexpected": [], "dtype": "float32", "worst": worst}


def reload(folder, case):
    if "cls" in case:
        return reload_transformers(folder, case)
    return reload_vectors(folder, case) if "sparse" in case or "tokens" in case else reload_sentence(folder, case)


for folder in sys.argv[1:]:
    case = json.loads(Path(folder, "case.json").read_text())
    result = reload(folder, case)
    print(json.dumps({"folder": folder, **result}), flush=True)
