"""Whole training runs of small embedders in float64, by torch and the losses of sentence-transformers: tests/fixtures/embedder-training.

usage: make_embedding_training_fixtures.py FIXTURES OUT
FIXTURES is tests/fixtures: an embedder is a folder of its `sentence`, whose weights may stand in a folder of its `random`.

Dropout off, texts as random token ids in a fixed order. The loss of a step is the mean of those of its micro-batches. AdamW is torch's, with no
decay for biases and norms; the schedule is linear with warmup, as transformers'; gradients are clipped to a norm of 1.
"""

import argparse
import json
import os
import shutil
import tempfile

os.environ["TRANSFORMERS_VERBOSITY"] = "error"
import sentence_transformers
import torch
import transformers
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses as st

STEPS, WARMUP = 4, 1
RATE, DECAY = 1e-3, 0.01
# Numbers of every first gradient that are kept, evenly spaced.
KEPT = 24

parser = argparse.ArgumentParser()
parser.add_argument("fixtures")
parser.add_argument("out")
arguments = parser.parse_args()


def embedder(folder):
    """An embedder in float64, its transformer's weights from where its expected.json says."""
    own = os.path.join(arguments.fixtures, "sentence", folder)
    weights = json.load(open(os.path.join(own, "expected.json"))).get("weights")
    with tempfile.TemporaryDirectory() as whole:
        shutil.copytree(own, whole, dirs_exist_ok=True)
        if weights:
            shared = os.path.join(arguments.fixtures, "random", weights)
            for file in ("model.safetensors", "tokenizer.json"):
                shutil.copy(os.path.join(shared, file), whole)
        model = SentenceTransformer(whole, device="cpu", model_kwargs={"attn_implementation": "eager"}).double()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model.train(), weights


def features(model, texts):
    """Texts of token ids as the model's features, padded."""
    longest = max(len(text["input_ids"]) for text in texts)
    pad = lambda key: torch.tensor([text[key] + [0] * (longest - len(text[key])) for text in texts])
    mask = torch.tensor([[1] * len(text["input_ids"]) + [0] * (longest - len(text["input_ids"])) for text in texts])
    types = {"token_type_ids": pad("token_type_ids")} if "token_type_ids" in texts[0] else {}
    return {"input_ids": pad("input_ids"), "attention_mask": mask, **types}


def tensor_name(parameter):
    """The encoder's tensors as their file calls them, those of module n as `sentence.n.` and what its file calls them."""
    module, name = parameter.split(".", 1)
    return name.split(".", 1)[1] if module == "0" else f"sentence.{module}.{name}"


def rounded(tensor):
    flat = tensor.reshape(-1)
    stride = max(1, len(flat) // KEPT)
    return [float(f"{x:.10g}") for x in flat[::stride].tolist()]


def run(name, folder, description, make_loss, texts, labels=None, records=4, accumulation=1):
    generator = torch.Generator().manual_seed(len(name))
    draw = lambda low, high, *shape: torch.randint(low, high, shape or (1,), generator=generator)
    model, weights = embedder(folder)
    config = model[0].auto_model.config
    has_types = getattr(config, "type_vocab_size", 0) > 1

    def text():
        ids = [5] + draw(6, config.vocab_size, int(draw(2, 14))).tolist() + [3]
        return {"input_ids": ids, **({"token_type_ids": [0] * len(ids)} if has_types else {})}

    data = []
    for i in range(STEPS * records * accumulation):
        record = {"texts": [text() for _ in range(texts)]}
        if labels:
            record["label"] = labels[int(draw(0, len(labels)))]
        data.append(record)
    loss = make_loss(model)
    named = dict(model.named_parameters())
    has_decay = lambda key: "bias" not in key.lower() and "norm" not in key.lower()
    groups = [
        {"params": [p for k, p in named.items() if has_decay(k)], "weight_decay": DECAY},
        {"params": [p for k, p in named.items() if not has_decay(k)], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE, eps=1e-8, foreach=False)
    rate = lambda s: s / WARMUP if s < WARMUP else max(0.0, (STEPS - s) / (STEPS - WARMUP))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    values, norms, first = [], [], None
    for step in range(STEPS):
        optimizer.zero_grad()
        total = 0.0
        for micro in range(accumulation):
            at = (step * accumulation + micro) * records
            batch = data[at : at + records]
            columns = [features(model, [record["texts"][c] for record in batch]) for c in range(texts)]
            targets = torch.tensor([record.get("label", 0.0) for record in batch], dtype=torch.float64)
            value = loss(columns, targets) / accumulation
            value.backward()
            total += float(value.detach())
        if step == 0:
            first = {tensor_name(k): rounded(p.grad) for k, p in named.items() if p.grad is not None}
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        values.append(total)
        optimizer.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        after = model(features(model, [data[0]["texts"][0]]))["sentence_embedding"]
    args = dict(
        learning_rate=RATE, weight_decay=DECAY, warmup_steps=WARMUP, max_steps=STEPS, max_grad_norm=1.0, adam_beta1=0.9,
        adam_beta2=0.999, adam_epsilon=1e-8, per_device_train_batch_size=records, gradient_accumulation_steps=accumulation,
    )  # fmt: skip
    reference = (
        f"sentence-transformers {sentence_transformers.__version__}, transformers {transformers.__version__}, "
        f"torch {torch.__version__.split('+')[0]}, float64"
    )
    result = dict(
        reference=reference, model=folder, weights=weights, loss=description, args=args, data=data, losses=values,
        grad_norms=norms, first_gradients=first, after=rounded(after),
    )  # fmt: skip
    os.makedirs(arguments.out, exist_ok=True)
    with open(os.path.join(arguments.out, f"{name}.json"), "w") as file:
        json.dump(result, file, separators=(",", ":"))
        file.write("\n")
    print(name, [round(v, 4) for v in values], [round(n, 3) for n in norms])


# Every number is one of float32's: CosineSimilarityLoss rounds labels to them.
EIGHTHS = [i / 8 for i in range(9)]
MNRL, MATRYOSHKA = st.MultipleNegativesRankingLoss, st.MatryoshkaLoss
run("pairs", "st-prompts", {"name": "MultipleNegativesRankingLoss", "options": {}}, lambda m: MNRL(m), texts=2, records=5)
run(
    "hard-negatives", "st-dense", {"name": "MultipleNegativesRankingLoss", "options": {"scale": 10}},
    lambda m: MNRL(m, scale=10.0), texts=3,
)  # fmt: skip
run("cosine", "st-several-poolings", {"name": "CosineSimilarityLoss", "options": {}}, lambda m: st.CosineSimilarityLoss(m), texts=2, labels=EIGHTHS)
run("cosent", "st-weightedmean", {"name": "CoSENTLoss", "options": {}}, lambda m: st.CoSENTLoss(m), texts=2, labels=EIGHTHS[::2], accumulation=2)
run(
    "matryoshka", "st-residual",
    {"name": "MatryoshkaLoss", "options": {"matryoshka_dims": [6, 20, 11], "matryoshka_weights": [0.5, 1, 2]},
     "loss": {"name": "MultipleNegativesRankingLoss", "options": {}}},
    lambda m: MATRYOSHKA(m, MNRL(m), [6, 20, 11], [0.5, 1, 2]), texts=3, records=3,
)  # fmt: skip
