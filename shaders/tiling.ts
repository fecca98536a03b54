/**
 * One invocation computes `rows` x `columns` outputs of a linear; a workgroup is `lanes` invocations side by side along N by `down` of
 * them along T. The operands pass through workgroup memory: see linear-workgroup.ts.
 */
export interface WorkgroupTiling {
  readonly kind: 'workgroup';
  readonly rows: number;
  /** A multiple of four. */
  readonly columns: number;
  readonly lanes: number;
  readonly down: number;
}

/**
 * One invocation computes `rows` x `columns` outputs of a linear; a workgroup is `lanes` invocations side by side along N. The operands
 * stay in registers: see linear-register.ts.
 */
export interface RegisterTiling {
  readonly kind: 'register';
  readonly rows: number;
  /** A multiple of four. */
  readonly columns: number;
  readonly lanes: number;
}

/**
 * How the outputs of a linear are divided among workgroups and invocations. All tilings add the products of an output in the same
 * order, so the results of two tilings differ by no more than what compilers make of the same sum.
 */
export type Tiling = WorkgroupTiling | RegisterTiling;

/** Rows of outputs that one workgroup computes, also where the matrix has fewer. */
export function tileRows(tiling: Tiling): number {
  switch (tiling.kind) {
    case 'workgroup':
      return tiling.rows * tiling.down;
    case 'register':
      return tiling.rows;
    default:
      return tiling satisfies never;
  }
}

/** The tiling for a device that allows `maxInvocations` in a workgroup: where that is too few, a workgroup has fewer along T. */
export function fitted(tiling: Tiling, maxInvocations: number): Tiling {
  switch (tiling.kind) {
    case 'workgroup':
      return { ...tiling, down: Math.min(tiling.down, Math.floor(maxInvocations / tiling.lanes)) };
    case 'register':
      return tiling;
    default:
      return tiling satisfies never;
  }
}

/** For the names of kernels, and for people: `workgroup 4x4x16x16`, `register 16x16x4`. */
export function tilingLabel(tiling: Tiling): string {
  const { kind, rows, columns, lanes } = tiling;
  switch (kind) {
    case 'workgroup':
      return `${kind} ${rows}x${columns}x${lanes}x${tiling.down}`;
    case 'register':
      return `${kind} ${rows}x${columns}x${lanes}`;
    default:
      return kind satisfies never;
  }
}
