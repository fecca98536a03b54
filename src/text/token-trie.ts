interface Node<T> {
  readonly next: Map<number, Node<T>>;
  /** Of the token that ends here. */
  value: T | undefined;
}

/**
 * Tokens as a tree of their UTF-16 units. To find those that a text has at a place costs as many steps as the text agrees with
 * one of them, however many there are, and without a substring for each length.
 */
export class TokenTrie<T> {
  readonly #root: Node<T> = { next: new Map(), value: undefined };

  /** @param value of the token, anything but undefined */
  add(token: string, value: T): void {
    let node = this.#root;
    for (let unit = 0; unit < token.length; unit++) {
      const code = token.charCodeAt(unit);
      let child = node.next.get(code);
      if (child === undefined) {
        child = { next: new Map(), value: undefined };
        node.next.set(code, child);
      }
      node = child;
    }
    node.value = value;
  }

  /** Calls `found` for every token that stands in the text at `start` and ends at `limit` at most, shortest first. */
  visit(text: string, start: number, limit: number, found: (end: number, value: T) => void): void {
    let node: Node<T> | undefined = this.#root;
    for (let at = start; at < limit; at++) {
      node = node.next.get(text.charCodeAt(at));
      if (node === undefined) return;
      if (node.value !== undefined) found(at + 1, node.value);
    }
  }
}
