import type { DataType, DeviceType, PretrainedOptions, TokenizerOptions } from './api/index.ts';
import type { Answer, Classification, Entity, FilledMask, Task, ZeroShotResult } from './tasks/index.ts';

/** The names that transformers.js has for types of this library. */

export type {
  Answer as QuestionAnsweringOutput,
  DataType,
  DeviceType,
  PretrainedOptions as PretrainedModelOptions,
  Task as PipelineType,
  TokenizerOptions as PretrainedTokenizerOptions,
  ZeroShotResult as ZeroShotClassificationOutput,
};
export type FillMaskOutput = FilledMask[];
export type TextClassificationOutput = Classification[];
export type TokenClassificationOutput = Entity[];
