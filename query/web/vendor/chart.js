// Chart.js takes this place when the program is built, where it is found; without it the page shows the timeline that the server draws.
