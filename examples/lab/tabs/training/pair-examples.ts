import type { LineExample } from './examples.ts';

/**
 * Pairs to begin with: questions of a house that has names of its own for things, and what its handbook says. No model can know the names;
 * the handbook does not use them. Each passage has four questions, so that one can be held out.
 */

interface Entry {
  readonly passage: string;
  readonly queries: readonly string[];
}

const THEATRE: readonly Entry[] = [
  {
    passage: 'The freight lift carries two tonnes. It is booked at the porter’s desk, and nobody rides in it.',
    queries: [
      'Is Old Marta free after lunch?',
      'Old Marta is stuck again',
      'Can I have Old Marta for an hour on Friday?',
      'Who looks after Old Marta?',
    ],
  },
  {
    passage: 'The fog machine takes ten minutes to warm up, and drinks two litres of fluid in an evening.',
    queries: [
      'How long before the show do I start the Whale?',
      'The Whale makes a strange noise',
      'What do I have to know about the Whale?',
      'Does the Whale need anything for tonight?',
    ],
  },
  {
    passage: 'The lighting desk is at the back of the stalls. Food and drink stay outside.',
    queries: [
      'Where do I find the Aquarium?',
      'May I take my coffee into the Aquarium?',
      'They want to see me in the Aquarium',
      'Who sits in the Aquarium tonight?',
    ],
  },
  {
    passage: 'The scenery store across the yard is not heated. Switch the lights off when you leave.',
    queries: [
      'Is there still room in Lisbon?',
      'We left our things in Lisbon',
      'How do I get to Lisbon from here?',
      'Put it in Lisbon until the next season',
    ],
  },
  {
    passage: 'Two people carry the tall ladder, and one of them holds it as long as the other is on it.',
    queries: [
      'Somebody has taken Uncle Otto',
      'May I use Uncle Otto alone?',
      'Where is Uncle Otto kept, and who may have him?',
      'Bring Uncle Otto to the foyer, please',
    ],
  },
  {
    passage: 'The fire curtain is lowered once before every performance. The stage manager writes it into the log.',
    queries: [
      'Has anybody tested the Bishop today?',
      'When does the Bishop come down?',
      'What is the rule about the Bishop?',
      'The Bishop did not move this evening',
    ],
  },
  {
    passage: 'Wigs and make-up are on the second floor, from two hours before the show. Be there in time.',
    queries: [
      'When do I have to be in Number Nine?',
      'Number Nine is full, where do I wait?',
      'Which way is Number Nine?',
      'They are calling you from Number Nine',
    ],
  },
  {
    passage: 'The volunteers who show people to their seats meet at six, and see the play for nothing.',
    queries: [
      'How can I become one of the Moths?',
      'Are there enough Moths for Saturday?',
      'The Moths are late today',
      'What do the Moths get for it?',
    ],
  },
  {
    passage: 'The bell at the end of the interval is rung three times, from the ticket office.',
    queries: [
      'Who does the Admiral tonight?',
      'I did not hear the Admiral',
      'Where do I go to start the Admiral?',
      'Is it time for the Admiral yet?',
    ],
  },
  {
    passage: 'Water comes into the room below the stage after heavy rain. The switch of the pump is left of the door.',
    queries: [
      'Have you been down in Copenhagen today?',
      'Copenhagen is in trouble again',
      'What do I do if Copenhagen looks bad?',
      'Nothing may be left on the floor of Copenhagen',
    ],
  },
  {
    passage: 'Small expenses, up to fifty euros, are paid from the cash box in the office against a receipt.',
    queries: [
      'Ask Aunt Ida for it',
      'Will Aunt Ida pay for the flowers?',
      'What does Aunt Ida want from me?',
      'Is Aunt Ida open on Sundays?',
    ],
  },
  {
    passage: 'The wireless headsets are charged overnight, in the rack beside the prompt corner.',
    queries: [
      'One of the Plums is missing',
      'Are the Plums ready for the rehearsal?',
      'Where do the Plums go after the show?',
      'My Plums are dead after an hour',
    ],
  },
];

const linesOf = (entries: readonly Entry[]): string =>
  entries.flatMap(({ passage, queries }) => queries.map(query => `${query} | ${passage}`)).join('\n');

export const PAIR_EXAMPLES: readonly LineExample[] = [
  { title: 'Words of a theatre', trial: 'The Whale is empty', lines: linesOf(THEATRE) },
];
