"""One prior over all stems that separates by posterior sampling, and generates."""
