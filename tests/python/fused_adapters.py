"""A training of adapters on linears that a file has fused (Wqkv), in float64: reads a JSON object with base (a folder), head (a class of
transformers), adapter (a folder), records ([{"input_ids", "labels"}], all of one length), steps and rate, and writes one with the way it
was computed, the logits of the first record before, the losses, and the adapter's tensors afterwards.

The way is "PEFT" where the class of transformers has the fused linears. Where it has them apart (q_proj, k_proj, v_proj), it is "rows": each
of them is the rows of the file's matrix W + scaling B A that it was loaded from.
"""

import json
import os
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file
from torch.func import functional_call

asked = json.load(sys.stdin)
base = getattr(transformers, asked["head"]).from_pretrained(asked["base"], attn_implementation="eager", dtype=torch.float64)
config = json.load(open(os.path.join(asked["adapter"], "adapter_config.json")))
start = {key: value.double() for key, value in load_file(os.path.join(asked["adapter"], "adapter_model.safetensors")).items()}
targets = [key.removesuffix(".lora_A.weight") for key in start if key.endswith(".lora_A.weight")]
scaling = config["lora_alpha"] / config["r"]
ids = torch.tensor([record["input_ids"] for record in asked["records"]])
labels = torch.tensor([record["labels"] for record in asked["records"]])
modules = dict(base.named_modules())
isFused = all(target.removeprefix("base_model.model.") in modules for target in targets)

if isFused:
    model = PeftModel.from_pretrained(base, asked["adapter"], is_trainable=True).double().eval()
    trained = {name.replace(".default", ""): p for name, p in model.named_parameters() if p.requires_grad}
    compute = lambda: model(input_ids=ids).logits
else:
    base.eval().requires_grad_(False)
    trained = {key: value.requires_grad_() for key, value in start.items()}
    file = load_file(os.path.join(asked["base"], "model.safetensors"))
    # Of each parameter that is a part of a target's matrix: the target, and the first row.
    parts = {}
    for target in targets:
        matrix = file[target.removeprefix("base_model.model.") + ".weight"].double()
        for name, p in base.named_parameters():
            if p.dim() != 2 or p.shape[1] != matrix.shape[1]:
                continue
            for row in range(matrix.shape[0] - p.shape[0] + 1):
                if torch.equal(matrix[row : row + p.shape[0]], p):
                    parts[name] = (target, row)
        rows = sum(base.get_parameter(name).shape[0] for name, part in parts.items() if part[0] == target)
        assert rows == matrix.shape[0], target

    def compute():
        changed = {}
        for name, (target, row) in parts.items():
            p = base.get_parameter(name)
            update = trained[target + ".lora_B.weight"][row : row + p.shape[0]] @ trained[target + ".lora_A.weight"]
            changed[name] = p + scaling * update
        return functional_call(base, changed, kwargs={"input_ids": ids}).logits


assert trained.keys() == start.keys()
with torch.no_grad():
    logits = compute()[0].tolist()
optimizer = torch.optim.AdamW(trained.values(), lr=asked["rate"], weight_decay=0.0)
losses = []
for _ in range(asked["steps"]):
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(compute(), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trained.values(), 1.0)
    optimizer.step()
    losses.append(loss.item())
after = {key: {"shape": list(value.shape), "data": value.detach().flatten().tolist()} for key, value in trained.items()}
json.dump({"way": "PEFT" if isFused else "rows", "logits": logits, "losses": losses, "after": after}, sys.stdout)
