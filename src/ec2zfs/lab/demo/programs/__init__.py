"""Small programs that the demonstration sends to the lab's machines; each needs only a stock python3 there."""
