//! Checks of real servers by a running director, and what follows from them. Needs root.

mod hostile;
mod keywords;
mod kinds;
mod parts;
mod programs;
mod settings;
mod site;
mod ways;
