//! Linux for elver.
