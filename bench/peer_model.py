"""Makes an exported all-MiniLM-L6-v2 ONNX file the strongest that onnxruntime-web can run: attention, norms and GELU fused.

usage: peer_model.py EXPORTED.onnx OUT.onnx
"""

import sys

import onnx
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions

exported, out = sys.argv[1:]
model = onnx.load(exported)
# transformers.js reads an output of this name; the exported file has another, and a pooled one behind it.
old, new = model.graph.output[0].name, "last_hidden_state"
for node in model.graph.node:
    node.output[:] = [new if name == old else name for name in node.output]
    node.input[:] = [new if name == old else name for name in node.input]
model.graph.output[0].name = new
del model.graph.output[1:]
onnx.save(model, exported)
fused = optimizer.optimize_model(
    exported, model_type="bert", num_heads=12, hidden_size=384, opt_level=0, optimization_options=FusionOptions("bert")
)
fused.save_model_to_file(out)
print({name: count for name, count in fused.get_fused_operator_statistics().items() if count})
