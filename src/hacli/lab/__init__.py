"""A region in one process: the cloud, cluster and machines that hacli is tried and tested on."""
