"""What an answer costs, in whole nano units of a currency: sums of them are exact."""
