"""The logits of a model with an adapter, by PEFT: reads a JSON object with base, head, folder and record, and writes one with the logits."""

import json
import os
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import torch
import transformers
from peft import PeftModel
from safetensors import safe_open

asked = json.load(sys.stdin)
base = getattr(transformers, asked["head"]).from_pretrained(asked["base"]).double()
model = PeftModel.from_pretrained(base, asked["folder"]).double().eval()
with safe_open(os.path.join(asked["folder"], "adapter_model.safetensors"), "pt") as file:
    saved = set(file.keys())
state = {name.replace(".default", "") for name in model.state_dict()}
known = lambda name: name in state or name.replace("classifier.", "classifier.modules_to_save.") in state or name.replace("transform.", "transform.modules_to_save.") in state
record = asked["record"]
inputs = {name: torch.tensor([record[name]]) for name in ("input_ids", "token_type_ids") if name in record}
with torch.no_grad():
    logits = model(**inputs).logits.flatten().tolist()
json.dump({"logits": logits, "unexpected": sorted(name for name in saved if not known(name))}, sys.stdout)
