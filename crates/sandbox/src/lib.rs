//! Sockets around the models of `perennial-sim`: a small internet on loopback with fault switches.
