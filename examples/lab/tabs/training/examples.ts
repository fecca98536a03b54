/** Lines to begin with: short, and of no data set. */

export interface LineExample {
  readonly title: string;
  readonly lines: string;
  /** A text of none of the lines, to be tried. */
  readonly trial: string;
}

export const CLASS_EXAMPLES: readonly LineExample[] = [
  {
    title: 'Letters to a shop',
    trial: 'The money for the broken kettle never came back.',
    lines: `billing, I was charged twice for the same order.
billing, Why is there a fee on my invoice that nobody told me about?
billing, My card was declined although there is money on it.
billing, Please send me a receipt for last month.
billing, The discount code did not change the price.
billing, I cancelled my subscription and you still took the money.
billing, Can I pay by bank transfer?
billing, The refund has not reached my account yet.
delivery, My parcel has been stuck in the depot since Monday.
delivery, The driver left the box in the rain.
delivery, When will my order arrive?
delivery, Tracking says it is here, but nothing came.
delivery, Can you bring it to my neighbour instead?
delivery, Half of the package is missing.
delivery, I have moved; please change the address.
delivery, It was sent to the wrong city.
praise, Thank you, the new lamp is beautiful.
praise, Your support team was kind and quick.
praise, Best purchase I have made this year.
praise, The website is a pleasure to use.
praise, I love how well everything is made.
praise, My daughter has not put the book down since.
praise, It fits perfectly, well done.
praise, I have told all my friends about your shop.`,
  },
  {
    title: 'Now or later',
    trial: 'There is smoke coming out of the printer.',
    lines: `now, The server is down and nobody can work.
now, Water is running through the ceiling of the office.
now, I am locked out and the meeting starts in five minutes.
now, All orders since this morning are lost.
now, The alarm rings and does not stop.
now, Please call me at once, the contract expires today.
now, A customer is hurt, send help.
now, Our passwords have been stolen.
now, The payment page shows an error to everyone.
now, The lift is stuck with people in it.
now, We need the key before noon or the truck leaves.
now, The freezer is off and the food is thawing.
later, When you have a moment, please order more paper.
later, It would be nice to have a darker theme some day.
later, Could we talk about the plan for next year?
later, The logo on page nine is a little too small.
later, I would like to change my photo.
later, Please add me to the newsletter.
later, There is no hurry, but the plants want new pots.
later, Next month we might try another supplier.
later, A small typo on the help page.
later, Whenever it suits you, look at my notes.
later, The chairs in the hall could be repainted.
later, Let me know your thoughts in the coming weeks.`,
  },
];
