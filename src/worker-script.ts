import {
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForNextSentencePrediction,
  AutoModelForPreTraining,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
  AutoTokenizer,
  env,
  PreTrainedModel,
  PreTrainedTokenizer,
} from './api/index.ts';
import { isSupported } from './engine/index.ts';
import { pipeline } from './pipeline.ts';
import { Session } from './tasks/index.ts';
import { MultiVectorEncoder, SparseEncoder } from './vectors/index.ts';
import { listen } from './worker/index.ts';

/** The program of the worker: it gives the page that connects what `webgpu-bert/worker` exports. */
listen(globalThis, {
  roots: {
    functions: { pipeline, isSupported },
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForNextSentencePrediction,
    AutoModelForPreTraining,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    MultiVectorEncoder,
    SparseEncoder,
  },
  classes: [Session, PreTrainedModel, PreTrainedTokenizer, MultiVectorEncoder, SparseEncoder],
  env,
});
