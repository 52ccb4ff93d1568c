"""EC2, EBS and prices in our own nouns: a thin layer over boto3, and the only one that imports it."""
