//! A broker that lets nobody in who does not prove who they are: the product's commands through each of its doors, and
//! everything that must not get in.

mod acls;
pub mod broker;
mod place;
mod refusals;
mod tokens;
mod work;
