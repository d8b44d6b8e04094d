const EUROS = new Intl.NumberFormat(undefined, { style: 'currency', currency: 'EUR' });

/** Whole cents as a price. */
export const money = (cents: number): string => EUROS.format(cents / 100);
