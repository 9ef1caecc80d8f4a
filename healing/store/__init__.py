"""The pipeline's queries, one file a topic. Claims are conditional UPDATEs; what is written under a claim carries its fence."""
