//! Sockets around sim's models: a small internet on loopback with fault switches
