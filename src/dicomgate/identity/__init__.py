"""Who is it? What a user presents, who that turned out to be, and the contract of those who find out."""
