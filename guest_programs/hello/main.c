/* The smallest guest: shows a line that is not proven and commits a word that is. */
#include <zkvm.h>

int main(void) {
    zkvm_log("hello from the guest");
    zkvm_commit("hello", 5);
    return 0;
}
