"""What can be trained: network, loss, data and evaluation of each kind of training."""
