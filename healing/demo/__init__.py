"""`make demo`: small real services, broken one after another, each in another way, and healed before your eyes."""
