//! A simulated FPGA instance. See [`afi_sim::program`].

fn main() -> std::process::ExitCode {
    afi_sim::program::main()
}
