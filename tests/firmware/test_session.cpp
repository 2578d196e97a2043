#include "test_board.h"
