"""One executor per family of actions: carries a plan out, tells its progress, and checks again before it destroys."""
