/** The events of a model, as of an EventTarget: their names and what they carry. */
export interface ModelEventMap {
  /**
   * The device was lost: the driver was reset, the browser's GPU process ended, or somebody destroyed it. A model on a device of
   * its own loads its weights onto another device, and its calls continue there. A model on a device of yours ends: its calls reject.
   */
  devicelost: CustomEvent<{ reason: 'unknown' | 'destroyed'; message: string }>;
  /** The weights are on another device. `adapter` is the name of its graphics adapter. */
  restored: CustomEvent<{ adapter: string }>;
}

export type ModelListener<Type extends keyof ModelEventMap> =
  | ((event: ModelEventMap[Type]) => void)
  | { handleEvent(event: ModelEventMap[Type]): void };

/** The names of all events. */
export const MODEL_EVENTS = ['devicelost', 'restored'] as const satisfies readonly (keyof ModelEventMap)[];
