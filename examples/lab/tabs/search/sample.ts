import type { Source } from './passages.ts';

/** What there is to search before someone brings texts of their own. */
export const SAMPLE: Source = {
  name: 'Sample sentences',
  unit: 'lines',
  text: `Honey bees find their way home by the position of the sun.
Sea turtles return to the beach where they hatched, led by the magnetic field of the earth.
Migrating birds learn the pattern of the stars while they are in the nest.
Octopuses can squeeze through any gap larger than their beak.
Whales sing to each other over hundreds of kilometres of ocean.
A cat that brings you a mouse thinks that you cannot hunt.
Bats see with their ears: they hear the echo of their own cries.
The kettle takes about four minutes to boil a litre of water.
Sourdough bread rises because wild yeast produces gas in the dough.
The soup needs salt, and ten more minutes on a low flame.
Slice the onions thinly and let them brown slowly in butter.
Rice that has been washed does not stick to the pan.
A pinch of cinnamon makes the apple pie smell of autumn.
To reset a forgotten password, open the sign-in page and follow the link below the form.
Refunds are paid to the same card within fourteen days.
Parcels that come back damaged are replaced without charge.
Two accounts with the same address can be merged in the settings.
Our support answers on weekdays between nine and five.
You can cancel the subscription at any time, up to a day before it renews.
The museum is closed on Mondays and free on the first Sunday of the month.
The night train from Vienna reaches Venice at half past eight in the morning.
The ferry does not sail when the wind is stronger than eight Beaufort.
A window seat on the left has the better view of the Alps.
The lighthouse was built in 1846 after two ships were lost on the reef.
Keep your passport with you: the border is checked at night.
Jupiter has more than ninety known moons.
A solar eclipse happens when the moon passes between the earth and the sun.
Light from the nearest star needs more than four years to reach us.
Earthquakes are measured by the energy that they set free.
Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.
Regular exercise lowers the risk of heart disease.
Store the medicine in a dry place below 25 degrees.
A cold lasts a week with treatment, and seven days without.
Drink enough water before you climb above two thousand metres.
Most adults need seven to nine hours of sleep.
She tuned the violin by ear before the concert began.
The choir rehearses in the old church every Thursday.
Her grandmother kept every letter in a biscuit tin.
The old library smells of dust, leather and rain.
Children learn to read faster when somebody reads to them every evening.
Interest rates rose for the third time this year.
The company sold its factory and rents it back.
Half of the budget went into repairing the roof.
The referee added six minutes because of the injuries.
The rear brake of the bicycle squeals when the rim is wet.
She ran the last mile of the marathon barefoot.
Water the tomato plants early in the day, and never their leaves.
A heavy snowfall closed the mountain pass until the end of March.`,
};

export const SAMPLE_QUERIES = [
  'How do animals find their way?',
  'I want my money back',
  'something for dinner',
  'staying healthy',
  'the night sky',
] as const;
