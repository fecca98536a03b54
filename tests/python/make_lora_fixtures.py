"""Training runs of adapters (LoRA) by PEFT in float64: tests/fixtures/lora.

usage: make_lora_fixtures.py FIXTURES [NAME ...]
FIXTURES is tests/fixtures: the models are folders of its `training/models`, or else of its `random`; the data are those of its `training`.

Each folder has the adapter that a run begins with, as PEFT saves it, and after.safetensors, the one that it ends with; run.json has the loss
and the norm of the gradient of each step, the logits of the first text afterwards, and what print_trainable_parameters counts. B begins with
random numbers, not with zeros, so that A has a gradient from the first step on. Dropout off, records in their order. AdamW is torch's, with
no decay for biases; the schedule is linear with warmup, as transformers'; gradients are clipped to a norm of 1.
"""

import json
import os
import sys

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch.nn import functional
from torch.nn.functional import cross_entropy
from transformers.models.deberta import modeling_deberta
from transformers.models.deberta_v2 import modeling_deberta_v2

STEPS, WARMUP, BATCH = 5, 1, 4
RATE, DECAY = 5e-3, 0.01
fixtures = sys.argv[1]

RUNS = {
    "bert-sequence": ("BertForSequenceClassification", dict(task_type="SEQ_CLS", r=4, lora_alpha=6)),
    "roberta-token": (
        "RobertaForTokenClassification",
        # Without exclude_modules PEFT 0.21 puts an adapter on the classifier, too, and fails.
        dict(
            task_type="TOKEN_CLS",
            r=2,
            lora_alpha=3,
            use_rslora=True,
            target_modules="all-linear",
            exclude_modules=["classifier"],
            bias="all",
        ),
    ),
    # A masked-LM head has no modules_to_save.
    "bert-masked-lm": (
        "BertForMaskedLM",
        dict(r=3, target_modules=r".*\.(key|intermediate\.dense)", modules_to_save=["transform"], bias="lora_only"),
    ),
    # One linear for q, k and v, and the projections of distances.
    "deberta-sequence": (
        "DebertaForSequenceClassification",
        dict(task_type="SEQ_CLS", r=4, lora_alpha=6, target_modules=["in_proj", "pos_proj", "pos_q_proj"]),
    ),
    # The projections of queries and keys are those of distances, too. The convolution is no linear.
    "deberta-v2-sequence": (
        "DebertaV2ForSequenceClassification",
        dict(task_type="SEQ_CLS", r=3, lora_alpha=6, target_modules="all-linear"),
    ),
}


def keep_float64():
    """DeBERTa's norm, and the root that scores are divided by, compute in float32 whatever the type of the model."""
    norm = lambda self, x: functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.variance_epsilon)
    modeling_deberta.DebertaLayerNorm.forward = norm
    root = lambda layer, factor: torch.sqrt(torch.tensor(layer.size(-1) * factor, dtype=torch.float64))
    modeling_deberta.scaled_size_sqrt = modeling_deberta_v2.scaled_size_sqrt = root


def padded(records, key, fill):
    longest = max(len(record["input_ids"]) for record in records)
    return torch.tensor([list(record[key]) + [fill] * (longest - len(record[key])) for record in records])


def inputs(records, pad):
    mask = [{**record, "mask": [1] * len(record["input_ids"])} for record in records]
    types = {"token_type_ids": padded(records, "token_type_ids", 0)} if "token_type_ids" in records[0] else {}
    return {"input_ids": padded(records, "input_ids", pad), "attention_mask": padded(mask, "mask", 0), **types}


def run(name, head, settings):
    torch.manual_seed(len(name))
    folders = [os.path.join(fixtures, folder, name) for folder in ("training/models", "random")]
    folder = next(folder for folder in folders if os.path.exists(folder))
    base = getattr(transformers, head).from_pretrained(folder, attn_implementation="eager").double()
    model = get_peft_model(base, LoraConfig(**settings)).double()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_B" in key:
                parameter.normal_(0, 0.1)
            if "lora_" in key:
                parameter.copy_(parameter.float().double())
    out = os.path.join(fixtures, "lora", name)
    os.makedirs(out, exist_ok=True)
    state = lambda: {k: v.float().contiguous() for k, v in peft.get_peft_model_state_dict(model).items()}
    model.peft_config["default"].base_model_name_or_path = name
    model.peft_config["default"].save_pretrained(out)
    save_file(state(), os.path.join(out, "adapter_model.safetensors"), {"format": "pt"})
    data = json.load(open(os.path.join(fixtures, "training", f"{name}.json")))["data"][: STEPS * BATCH]
    trained = {k: p for k, p in model.named_parameters() if p.requires_grad}
    plain = [p for k, p in trained.items() if "bias" in k.lower() or "norm" in k.lower()]
    other = [p for k, p in trained.items() if not ("bias" in k.lower() or "norm" in k.lower())]
    groups = [dict(params=other, weight_decay=DECAY), dict(params=plain, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups, lr=RATE, eps=1e-8, foreach=False)
    factor = lambda step: step / WARMUP if step < WARMUP else max(0.0, (STEPS - step) / (STEPS - WARMUP))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    pad = model.config.pad_token_id or 0
    model.train()
    losses, norms = [], []
    for step in range(STEPS):
        records = data[step * BATCH : (step + 1) * BATCH]
        logits = model(**inputs(records, pad)).logits
        if isinstance(records[0]["labels"], int):
            loss = cross_entropy(logits, torch.tensor([record["labels"] for record in records]))
        else:
            loss = cross_entropy(logits.flatten(0, 1), padded(records, "labels", -100).flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(list(trained.values()), 1.0)))
        losses.append(float(loss))
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        logits = model(**inputs(data[:1], pad)).logits.flatten()[:2000]
    save_file(state(), os.path.join(out, "after.safetensors"), {"format": "pt"})
    written = dict(
        reference=f"torch {torch.__version__.split('+')[0]}, transformers {transformers.__version__}, peft {peft.__version__}, float64",
        head=head,
        args=dict(
            max_steps=STEPS,
            warmup_steps=WARMUP,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            weight_decay=DECAY,
            train_sampling_strategy="sequential",
            dropout=0,
        ),
        parameters=list(model.get_nb_trainable_parameters()),
        losses=losses,
        grad_norms=norms,
        logits=[float(f"{number:.9g}") for number in logits.tolist()],
    )
    with open(os.path.join(out, "run.json"), "w") as file:
        json.dump(written, file)
        file.write("\n")
    print(name, [round(loss, 4) for loss in losses], written["parameters"])


keep_float64()
for name in sys.argv[2:] or RUNS:
    run(name, *RUNS[name])
