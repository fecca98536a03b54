"""Makes, of an exported all-MiniLM-L6-v2 ONNX file, the two files that transformers.js is measured with.

usage: peer_model.py EXPORTED.onnx FUSED.onnx WEBGPU.onnx

FUSED   What onnxruntime's optimizer makes of a BERT: embedding, attention, norms and GELU fused. Its Attention nodes take a
        padding mask, for which onnxruntime-web's WebGPU provider has no kernel: it computes them on the CPU, with a readback before each.
WEBGPU  The same nodes, but the mask comes as an additive attention bias, which the provider's Attention kernel does take: after the
        embedding everything is computed on the GPU.
"""

import sys

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions


def mask_as_bias(model: onnx.ModelProto) -> onnx.ModelProto:
    """Gives every Attention node a bias [batch, 1, length, length], 0 or the least float32, in place of its mask."""
    graph = model.graph
    constants = {
        "bias/axes": numpy.array([1, 2], numpy.int64),
        "bias/one": numpy.array([1], numpy.int64),
        "bias/two": numpy.array([2], numpy.int64),
        "bias/kept": numpy.array(1, numpy.float32),
        "bias/least": numpy.array(numpy.finfo(numpy.float32).min),
    }
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    bias = [
        helper.make_node("Unsqueeze", ["attention_mask", "bias/axes"], ["bias/mask"]),
        helper.make_node("Cast", ["bias/mask"], ["bias/mask_f32"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["bias/kept", "bias/mask_f32"], ["bias/dropped"]),
        helper.make_node("Mul", ["bias/dropped", "bias/least"], ["bias/row"]),
        helper.make_node("Shape", ["attention_mask"], ["bias/mask_shape"]),
        helper.make_node("Slice", ["bias/mask_shape", "bias/one", "bias/two"], ["bias/length"]),
        helper.make_node("Concat", ["bias/one", "bias/one", "bias/length", "bias/one"], ["bias/shape"], axis=0),
        helper.make_node("Expand", ["bias/row", "bias/shape"], ["attention_bias"]),
    ]
    for node in graph.node:
        if node.op_type == "Attention":
            node.input[:] = [*node.input[:3], "", "", "attention_bias"]
        if node.op_type == "EmbedLayerNormalization" and len(node.input) > 7:
            node.input[7] = ""
    nodes = [*bias, *graph.node]
    # The cast of the mask that the embedding took has no reader any more.
    read = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    del graph.node[:]
    graph.node.extend(node for node in nodes if any(name in read for name in node.output if name))
    return model


exported, fused_path, webgpu_path = sys.argv[1:]
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
fused.save_model_to_file(fused_path)
onnx.save(mask_as_bias(onnx.load(fused_path)), webgpu_path)
print({name: count for name, count in fused.get_fused_operator_statistics().items() if count})
