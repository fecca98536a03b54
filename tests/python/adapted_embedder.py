"""Embeddings of adapters on an embedder, by sentence-transformers and by PEFT: reads a JSON object with base (the folder of a model of
sentence-transformers), adapter, merged (a folder of the model with the adapter in its weights) and texts, and writes one with the rows of
each way to load them."""

import json
import os
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["HF_HUB_OFFLINE"] = "1"
from peft import PeftModel
from sentence_transformers import SentenceTransformer

asked = json.load(sys.stdin)
rows = lambda model: model.double().encode(asked["texts"]).tolist()

loaded = SentenceTransformer(asked["base"], device="cpu")
loaded.load_adapter(asked["adapter"])
wrapped = SentenceTransformer(asked["base"], device="cpu")
peft = PeftModel.from_pretrained(wrapped[0].auto_model, asked["adapter"])
wrapped[0].auto_model = peft.merge_and_unload()
answer = {
    "load_adapter": rows(loaded),
    "PeftModel": rows(wrapped),
    "merged": rows(SentenceTransformer(asked["merged"], device="cpu")),
}
json.dump(answer, sys.stdout)
