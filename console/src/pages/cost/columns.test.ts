import { describe, expect, it } from "vitest";
import { column, marks } from "./columns";

describe("a column of money", () => {
  it("has the same decimals in each row", () => {
    const say = column([5_350_000, 2_000, undefined, 0], "USD");
    expect([5_350_000, 150_000, 5_000, 0].map(say)).toEqual(["5.35 USD", "0.15 USD", "0.01 USD", "0.00 USD"]);
  });

  it("says that something was spent where it rounds to nothing", () => {
    expect(column([1_000_000], "EUR")(4_999)).toBe("< 0.01 EUR");
    expect(column([99_999], "EUR")(49)).toBe("< 0.0001 EUR");
  });

  it("has more decimals where all of it is little, and a dash where nothing was", () => {
    const say = column([2_000, 350], "USD");
    expect([2_000, 350, undefined].map(say)).toEqual(["0.0020 USD", "0.0003 USD", "–"]);
    expect(column([], "USD")(0)).toBe("0.00 USD");
  });
});

describe("marks of an axis", () => {
  it("have as many decimals as tell them apart", () => {
    expect([0, 50, 100, 150, 200].map(marks(50, "USD"))).toEqual(["0.00000 USD", "0.00005 USD", "0.00010 USD", "0.00015 USD", "0.00020 USD"]);
    expect([0, 500_000, 1_000_000].map(marks(500_000, "EUR"))).toEqual(["0.00 EUR", "0.50 EUR", "1.00 EUR"]);
    expect([0, 3].map(marks(3, "USD"))).toEqual(["0.000000 USD", "0.000003 USD"]);
  });
});
