/** How large a canvas may be: beyond that browsers paint nothing, and say nothing. */

/** Of all pixels together: what Safari of phones paints. */
const MOST_PIXELS = 2 ** 24;
/** Of an edge, in the order in which they are tried: what browsers of desktops and of newer and older phones paint. */
const EDGES = [16_384, 8_192, 4_096];

let longest: number | undefined;

/** The longest edge that this browser paints. */
function longestEdge(): number {
  longest ??= EDGES.find(edge => {
    const strip = Object.assign(document.createElement('canvas'), { width: edge, height: 1 });
    const context = strip.getContext('2d');
    context?.fillRect(edge - 1, 0, 1, 1);
    return isPainted(context, edge, 1);
  });
  return longest ?? EDGES.at(-1)!;
}

/** Whether the last pixel of a canvas is opaque. */
export function isPainted(context: CanvasRenderingContext2D | null, width: number, height: number): boolean {
  try {
    return context?.getImageData(width - 1, height - 1, 1, 1).data[3] === 255;
  } catch {
    // A canvas that is too large gives no pixels.
    return false;
  }
}

/** The largest scale, at most the one that is wanted, at which a picture of so many CSS pixels fits in a canvas. */
export function fittingScale(width: number, height: number, wanted: number): number {
  const edge = longestEdge();
  return Math.min(wanted, edge / width, edge / height, Math.sqrt(MOST_PIXELS / (width * height)));
}
