import type { Random } from '../random.ts';
import { ACTIONS, type Action } from './arming.ts';
import { pointsOf, type PointName } from './points.ts';

export interface Card {
  point: PointName;
  action: Action;
  /** How long its thread stands still; by chance if absent. */
  ms?: number;
}

/** Says which faults come next. */
export interface Deals {
  /** One that ends the process. */
  kill(program: 'agent' | 'relay'): Card;
  /** Some from which the process recovers, at different points. */
  pauses(program: 'agent' | 'relay', count: number): Card[];
}

/**
 * Which faults come next: all of a program's points with all actions, in an order that the seed gives, again and again.
 * Those of which enough have happened are left out for as long as there are others.
 */
export class Deck implements Deals {
  readonly #random: Random;
  readonly #isEnough: (card: Card) => boolean;
  readonly #piles = new Map<string, Card[]>();

  constructor(random: Random, isEnough: (card: Card) => boolean = () => false) {
    this.#random = random;
    this.#isEnough = isEnough;
  }

  kill(program: 'agent' | 'relay'): Card {
    return this.#draw(program, ['kill']);
  }

  pauses(program: 'agent' | 'relay', count: number): Card[] {
    const cards: Card[] = [];
    for (let tries = 0; cards.length < count && tries < 3 * count; tries++) {
      const card = this.#draw(
        program,
        ACTIONS.filter((action) => action !== 'kill'),
      );
      if (!cards.some(({ point }) => point === card.point)) cards.push(card);
    }
    return cards;
  }

  #draw(program: 'agent' | 'relay', actions: readonly Action[]): Card {
    const key = `${program} ${actions.join()}`;
    const pile = this.#piles.get(key) ?? [];
    this.#piles.set(key, pile);
    if (pile.length === 0) pile.push(...this.#shuffled(program, actions));
    const wanted = pile.findIndex((card) => !this.#isEnough(card));
    return pile.splice(Math.max(0, wanted), 1)[0];
  }

  #shuffled(program: 'agent' | 'relay', actions: readonly Action[]): Card[] {
    const cards = pointsOf(program).flatMap((point) => actions.map((action) => ({ point, action })));
    const wanted = cards.filter((card) => !this.#isEnough(card));
    const left = wanted.length > 0 ? wanted : cards;
    for (let at = left.length - 1; at > 0; at--) {
      const other = this.#random.below(at + 1);
      [left[at], left[other]] = [left[other], left[at]];
    }
    return left;
  }
}
