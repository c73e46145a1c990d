//! A step whose call has no place at its PSP: nothing of it is written, and it is put off.

use super::Turn;
use crate::base::time::UnixMillis;
use crate::machine::step::Input;

impl Turn {
    /// The PSP that the decided step calls, for an adapter that bounds how many calls of a PSP are under way: it takes a place for
    /// the call right after [`Turn::loaded`], or calls [`Turn::put_off`]. `None`: nothing is called, or the step cannot be put off, and
    /// its call waits for a place until it may no longer be sent.
    #[must_use]
    pub fn psp_to_call(&self) -> Option<&str> {
        let is_undone = !self.is_durable && self.input.can_be_put_off();
        let call = self.calls.front().filter(|_| is_undone)?;
        Some(&call.psp)
    }

    /// There is no place for the call of the decided step, until `again_ms` at least: nothing is written and nothing is called. A
    /// client that asks for something new is refused, and one that only asks is answered. What nobody waits for is looked at again.
    pub fn put_off(&mut self, again_ms: UnixMillis, now_ms: UnixMillis) {
        if self.psp_to_call().is_none() {
            debug_assert!(false, "no call was to be put off");
            return;
        }
        match &self.input {
            // The answer holds without the read that the question would have caused.
            Input::Request(_) if self.write.is_none() => {
                self.calls.clear();
                self.arm = self.arm.map(|(at_ms, _)| (at_ms, false));
            }
            input @ Input::Request(_) => {
                let pause_s = (again_ms - now_ms).seconds_rounded_up();
                let response = input.psp_unavailable(pause_s);
                self.forget_step();
                self.answer(response);
            }
            Input::Wake | Input::Webhook(_) | Input::Outcome(_) => {
                self.forget_step();
                self.later(again_ms);
            }
        }
    }
}
