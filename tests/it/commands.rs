//! The commands that stand beside a processor, as an operator uses them: the real binary, real files, one folder a test.

mod compose;
mod explain;
mod ledger;
mod place;
mod publish;
mod stderr;
mod tenants;
mod train;
mod watch;
