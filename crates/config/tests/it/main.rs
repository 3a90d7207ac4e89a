//! What operators see: whole messages, compared as text, and what a file comes to mean.

mod folder;
mod manual;
mod meaning;
mod mistakes;
mod properties;
