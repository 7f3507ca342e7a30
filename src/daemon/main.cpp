#include "daemon/life.hpp"
#include "daemon/wiring.hpp"

int main(int argc, char** argv) {
  return vnvme::daemon::run_daemon(argc, argv, vnvme::daemon::make_backend);
}
