interface Node<T> {
  readonly next: Map<number, Node<T>>;
  /** The value of the token that ends at this node. */
  value: T | undefined;
}

/**
 * Tokens as a tree of their UTF-16 units. A search for the tokens at a place of a text takes one step for each unit in which the text
 * agrees with some token, however many tokens there are. It makes no substrings.
 */
export class TokenTrie<T> {
  readonly #root: Node<T> = { next: new Map(), value: undefined };

  /** @param value the value of the token, anything but undefined */
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

  /** Calls `onToken` for every token that begins at `start` in the text and ends at `limit` at most, shortest first. */
  visit(text: string, start: number, limit: number, onToken: (end: number, value: T) => void): void {
    let node: Node<T> | undefined = this.#root;
    for (let at = start; at < limit; at++) {
      node = node.next.get(text.charCodeAt(at));
      if (node === undefined) return;
      if (node.value !== undefined) onToken(at + 1, node.value);
    }
  }
}
