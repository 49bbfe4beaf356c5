"""The segmenter, the DAM, the router and the critic, all from one table."""
