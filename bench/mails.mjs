/**
 * The texts of mails as one reads them. Mails are read by postal-mime and html-to-text, which only a run of the benchmark installs, so that
 * what is used of them is said here.
 */

/** @typedef {{ from?: { name?: string, address?: string }, subject?: string, text?: string, html?: string }} ParsedMail */
/** @typedef {{ default: { parse(source: string): Promise<ParsedMail> } }} PostalMime */
/** @typedef {{ compile(options: object): (html: string) => string }} HtmlToText */

/** What of a mail's HTML is no text of it: addresses of links, pictures. Headings stay in the case that they were written in. */
const AS_WRITTEN = {
  wordwrap: false,
  selectors: [
    { selector: 'a', options: { ignoreHref: true } },
    { selector: 'img', format: 'skip' },
    ...['h1', 'h2', 'h3', 'h4', 'h5', 'h6'].map(selector => ({ selector, options: { uppercase: false } })),
  ],
};

/** @param {string} text */
const inOneLine = text => text.replaceAll(/\s+/g, ' ').trim();

/**
 * Makes what reads a mail of its source: MIME parts are taken apart and decoded, and of the alternatives the plain text is read, or the HTML
 * where there is no other. White space is one space.
 * @returns {Promise<(source: string) => Promise<{ sender: string, subject: string, body: string }>>} The sender is a name and an address.
 */
export async function mailReader() {
  // A name in a variable is not looked up by the compiler, which may run where these packages are not.
  const names = { mime: 'postal-mime', html: 'html-to-text' };
  const { default: mime } = /** @type {PostalMime} */ (await import(names.mime));
  const plainText = /** @type {HtmlToText} */ (await import(names.html)).compile(AS_WRITTEN);
  return async source => {
    // The first line may be the one that parts the mails of a mailbox: it is no header.
    const mail = await mime.parse(source.startsWith('From ') ? source.slice(source.indexOf('\n') + 1) : source);
    const text = inOneLine(mail.text ?? '');
    return {
      sender: inOneLine(`${mail.from?.name ?? ''} ${mail.from?.address ?? ''}`),
      subject: inOneLine(mail.subject ?? ''),
      body: text || inOneLine(plainText(mail.html ?? '')),
    };
  };
}
