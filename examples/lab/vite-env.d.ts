/** Styles are imported for their effect. */
declare module '*.css';

/** The style as a text. */
declare module '*.css?inline' {
  const text: string;
  export default text;
}
