#include "cli/cli.hpp"

int main(int argc, char** argv) {
  return vnvme::cli::run(argc, argv);
}
