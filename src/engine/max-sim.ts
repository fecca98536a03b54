import { MaxSim } from '../gpu/index.ts';
import type { DeviceAccess } from './backend.ts';

/** Makes what computes the scores of Backend.maxSim on a WebGPU device. */
export type OpenMaxSim = (access: DeviceAccess) => Pick<MaxSim, 'score' | 'destroy'>;

/** It stands alone, and is passed to the engine: a page without late-interaction models has neither its kernel nor what runs it. */
export const openMaxSim: OpenMaxSim = access => new MaxSim(access);
